# of copy: does not notice the end of its input
#= end of input: not met (it took all of its input and ran on)
#= exit is last: cannot be told (no EXIT came)
#= claims level 1: does not conform, 1 not met
s/in.ended = !m->value/in.ended = false/
