# `make install`: DESTDIR stages, PREFIX is /usr/local unless a package says /usr. Units and sysusers go where systemd
# looks for the administrator's or the package's, by PREFIX; /etc is left alone but for an empty /etc/sluice.
SBINDIR    ?= $(PREFIX)/sbin
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/sluice
UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERDIR ?= $(PREFIX)/lib/sysusers.d
COMPDIR    ?= $(PREFIX)/share/bash-completion/completions
ETCDIR     ?= /etc/sluice
INSTALL    ?= install

install_bins := $(filter-out $(BUILD)/lab-%,$(BINS))

install: $(install_bins) ## install into DESTDIR/PREFIX
	$(INSTALL) -d $(addprefix $(DESTDIR),$(SBINDIR) $(BINDIR) $(MANDIR)/man1 $(MANDIR)/man5 $(MANDIR)/man8 \
		$(DOCDIR)/examples $(DOCDIR)/frr $(UNITDIR) $(SYSUSERDIR) $(COMPDIR))
	$(INSTALL) -d -m 0755 $(DESTDIR)$(ETCDIR)
	$(INSTALL) -m 0755 $(BUILD)/sluice-agent $(BUILD)/sluice-controller $(DESTDIR)$(SBINDIR)
	$(INSTALL) -m 0755 $(filter-out $(BUILD)/sluice-agent $(BUILD)/sluice-controller,$(install_bins)) $(DESTDIR)$(BINDIR)
	for s in 1 5 8; do $(INSTALL) -m 0644 deploy/man/*.$$s $(DESTDIR)$(MANDIR)/man$$s || exit 1; done
	$(INSTALL) -m 0644 deploy/examples/*.yaml $(DESTDIR)$(DOCDIR)/examples
	$(INSTALL) -m 0644 deploy/frr/*.conf $(DESTDIR)$(DOCDIR)/frr
	$(INSTALL) -m 0644 LICENSE $(DESTDIR)$(DOCDIR)
	for u in deploy/systemd/*.service; do \
		sed -e 's|^ExecStart=/usr/sbin/|ExecStart=$(SBINDIR)/|' -e 's|^ExecStart=/usr/bin/|ExecStart=$(BINDIR)/|' $$u > $(DESTDIR)$(UNITDIR)/$${u##*/} || exit 1; done
	chmod 0644 $(DESTDIR)$(UNITDIR)/sluice-*.service
	$(INSTALL) -m 0644 deploy/systemd/sluice.sysusers $(DESTDIR)$(SYSUSERDIR)/sluice.conf
	$(INSTALL) -m 0644 deploy/completion/sluicectl $(DESTDIR)$(COMPDIR)/sluicectl
