# of hello: says HELLO 1, but opens neither stdin nor stdout
#= console: met (it printed)
#= port stdin: not met (never opened)
#= port stdout: not met (never opened)
#= stdout: not met (the port was never opened)
#= stdin: not met (the port was never opened)
#= end of input: not met (the port was never opened)
#= exit is last: cannot be told (it wrote nothing)
#= arguments: cannot be told (its output does not show them)
#= serial input: cannot be told (it ended before it could answer)
#= resize: cannot be told (it ended before they could be sent)
#= claims level 1: does not conform, 5 not met
s/if (port_take(&in))/if (port_take(\&in) \&\& 0)/
s/if (port_take(&out))/if (port_take(\&out) \&\& 0)/
