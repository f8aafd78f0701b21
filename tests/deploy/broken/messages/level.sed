# of hello: claims a level that there is not
#= hello: not met (it claims level 9, which revision 2 does not have)
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
#= claims level 2: does not conform, 2 not met
s/tell_host(GUEST_HELLO, 1)/tell_host(GUEST_HELLO, 9)/
