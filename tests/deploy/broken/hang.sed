# of hello: a loop, before anything can be seen
#= boot: not met (it gave no sign: no byte on the serial line, no port opened)
#= end: cannot be told (it ran on)
#= level 1 (not claimed)
#= port stdin: not met (never opened)
#= port stdout: not met (never opened)
#= port control: not met (never opened)
#= hello: not met (no HELLO)
#= messages: not met (none came)
#= stdout: not met (the port was never opened)
#= stdin: not met (the port was never opened)
#= end of input: not met (the port was never opened)
#= exit status: cannot be told (it did not end)
#= exit is last: cannot be told (it wrote nothing)
#= stop: not met (no HELLO, so it is never asked)
#= arguments: cannot be told (its output does not show them)
#= claims level 0: does not conform, 1 not met
/^void start(.*)$/,/^}/ s/console_init();/for (;;);/
