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
#= level 2
#= co-kernel entry: not met (the image is no co-kernel: it has neither the note of guest.h nor a Multiboot 2 HRT header. fullVM may boot it)
#= co-kernel segments: cannot be told (the loader did not come to them)
#= co-kernel start: cannot be told (it cannot be loaded)
#= co-kernel hello: cannot be told (it cannot be loaded)
#= co-kernel console: cannot be told (it cannot be loaded)
#= doorbell: cannot be told (it cannot be loaded)
#= delegated calls: cannot be told (it cannot be loaded)
#= stray interrupts: cannot be told (it cannot be loaded)
#= co-kernel stop: cannot be told (it cannot be loaded)
#= co-kernel exit: cannot be told (it cannot be loaded)
#= co-kernel again: cannot be told (it cannot be loaded)
#= claims level 2: does not conform, 4 not met
/^static void tell_host/,/^}/ s/sizeof(messages\[0\])/9/
