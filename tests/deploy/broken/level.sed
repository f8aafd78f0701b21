# of hello: claims a level that there is not
#= hello: not met (it claims level 9, which revision 2 does not have)
#= claims level 2: does not conform, 1 not met
s/tell_host(GUEST_HELLO, 1)/tell_host(GUEST_HELLO, 9)/
