# of hello: ends without EXIT, by power-off
#! -M pc
#= end: met (power-off)
#= exit status: not met (the machine ended by power-off without EXIT)
#= exit is last: cannot be told (no EXIT came)
#= claims level 1: does not conform, 1 not met
s/tell_host(GUEST_EXIT, (uint64_t)status)/power_off()/
/^void power_off/,/^}/ s/reset();/for (;;) cpu_halt();/
