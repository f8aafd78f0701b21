# of copy: looks for input again and again in place of sleeping
#= idle: not met (N % of a CPU while it waits for input)
#= claims level 1: does not conform, 1 not met
s/sti; hlt; cli/sti; nop; cli/
