# of hello: a triple fault in the application
#= end: not met (it reset the machine, as a triple fault does, and told neither RESTART nor EXIT)
#= exit status: not met (the machine ended by reset without EXIT)
#= exit is last: cannot be told (no EXIT came)
#= serial input: cannot be told (it ended before it could answer)
#= resize: cannot be told (it ended before they could be sent)
#= claims level 1: does not conform, 2 not met
/^int main/,/^}/ s/return 0;/reset();/
