# of hello: its messages are cut short
#= end: cannot be told (it ran on)
#= hello: not met (it claims level 144117831467361281, which revision 2 does not have)
#= messages: not met (the last one has 2 bytes, not 16)
#= stdin: cannot be told (it took no more than receive buffers may hold)
#= end of input: cannot be told (it does not read its input)
#= idle: met (less than N % of a CPU while it waits)
#= exit status: cannot be told (it did not end)
#= exit is last: cannot be told (no EXIT came)
#= stop: not met (it ran on for 5 s)
#= claims level 2: does not conform, 3 not met
/^static void tell_host/,/^}/ s/sizeof(messages\[0\])/9/
