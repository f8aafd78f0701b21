# of hello: drives the console device, but opens no port, so that all goes to the serial line: a kernel of level 0
#! -M pc
#= boot: met (it printed)
#= console: met (it printed)
#= end: met (power-off)
#= level 1 (not claimed)
#= port stdin: not met (never opened)
#= port stdout: not met (never opened)
#= port control: not met (never opened)
#= hello: not met (no HELLO)
#= messages: not met (none came)
#= stdout: not met (the port was never opened)
#= stdin: not met (the port was never opened)
#= end of input: not met (the port was never opened)
#= exit status: not met (the machine ended by power-off without EXIT)
#= exit is last: cannot be told (it wrote nothing)
#= stop: not met (no HELLO, so it is never asked)
#= arguments: cannot be told (its output does not show them)
#= serial input: cannot be told (it ended before it could answer)
#= resize: not met (no HELLO, so none is sent)
#= claims level 0: conforms
/^static bool port_take/,/^}/ s/if (!p->there)/if (p)/
/^void power_off/,/^}/ s/reset();/for (;;) cpu_halt();/
