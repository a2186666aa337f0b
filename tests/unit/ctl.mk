# controller/ctl
unit += yaml ctl_output
yaml_src       := controller/ctl/yaml.c controller/ctl/file.c tests/fuzz/yaml_fuzz.c tests/fuzz/replay.c \
                  proto/base/mem.c proto/base/err.c
ctl_output_src := $(addprefix controller/ctl/,column.c drill_view.c file.c opts.c output.c plan_view.c sse.c status_view.c text.c) controller/diff.c proto/base/mem.c proto/base/err.c
unit += probe
probe_src := controller/ctl/probe_stats.c controller/ctl/probe_view.c controller/ctl/output.c controller/ctl/text.c proto/base/mem.c
