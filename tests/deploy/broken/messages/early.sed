# of hello: sends EXIT while its output may still be in the transmit queue
#= exit is last: not met (EXIT came while bytes of stdout were still in the machine)
#= serial input: cannot be told (it ended before it could answer)
#= resize: cannot be told (it ended before they could be sent)
#= claims level 1: does not conform, 1 not met
/^void streams_exit/,/^}/ s/if (out.open)/if (0)/
