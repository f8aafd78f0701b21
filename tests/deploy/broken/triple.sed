# of hello: a triple fault, before anything can be seen
#= boot: not met (the machine was reset before the kernel gave a sign)
#= end: not met (it reset the machine, as a triple fault does, and told neither RESTART nor EXIT)
#= level 1 (not claimed)
#= port stdin: not met (never opened)
#= port stdout: not met (never opened)
#= port control: not met (never opened)
#= hello: not met (no HELLO)
#= messages: not met (none came)
#= stdout: not met (the port was never opened)
#= stdin: not met (the port was never opened)
#= end of input: not met (the port was never opened)
#= exit status: not met (the machine ended by reset without EXIT)
#= exit is last: cannot be told (it wrote nothing)
#= stop: not met (no HELLO, so it is never asked)
#= arguments: cannot be told (its output does not show them)
#= claims level 0: does not conform, 2 not met
/^void start(.*)$/,/^}/ s/console_init();/reset();/
