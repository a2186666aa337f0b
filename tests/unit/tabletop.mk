# what a tabletop finds to be lost, what it says, and the drill it is
unit += tabletop drill_table
tabletop_src    := controller/drill/loss.c controller/drill/tabletop_view.c $(drill_model) $(sim_live) $(base)
drill_table_src := $(drills_src)
