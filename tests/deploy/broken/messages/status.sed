# of hello: tells an exit status that is none
#= exit status: not met (EXIT told 512, more than 255)
#= claims level 1: does not conform, 1 not met
s/(uint64_t)status)/(uint64_t)status + 512)/
