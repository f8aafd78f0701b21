# of hello: its messages have another magic
#= boot: met (it opened a port)
#= end: cannot be told (it ran on)
#= hello: not met (no HELLO)
#= messages: not met (a message has magic 12345678 and revision 2, not 67766964 and 2)
#= stdin: cannot be told (it took no more than receive buffers may hold)
#= end of input: cannot be told (it does not read its input)
#= idle: met (less than N % of a CPU while it waits)
#= exit status: cannot be told (it did not end)
#= exit is last: cannot be told (no EXIT came)
#= stop: not met (no HELLO, so it is never asked)
#= resize: not met (no HELLO, so none is sent)
#= claims level 1: does not conform, 4 not met
/^static void tell_host/,/^}/ s/{ GUEST_MESSAGE_MAGIC,/{ 0x12345678,/
