# of copy: is asked to stop, and goes on
#= stop: not met (it ran on for 5 s)
#= claims level 1: does not conform, 1 not met
s/exit(128 + 15);/(void)0;/
