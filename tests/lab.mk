# programs that only lab tests run
$(BUILD)/apply-driver: $(call obj,tests/lab/apply_driver.c $(wildcard agent/apply*.c agent/frr/*.c) $(base))
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lm

lab-programs: $(BUILD)/apply-driver
.PHONY: lab-programs
