# of hello: takes quotes and backslashes in the command line as they are
#= arguments: not met (it does not decode what is quoted)
#= claims level 1: does not conform, 1 not met
/^static char \*decode/,/^}/ s/\*from == '"'/*from == '\\0'/
