################################################################################
#
# shg
#
################################################################################

SHG_VERSION = local
SHG_SITE = $(BR2_EXTERNAL_SHG_PATH)/..
SHG_SITE_METHOD = local
SHG_LICENSE = Apache-2.0 or MIT
SHG_LICENSE_FILES = docs/licences/Apache-2.0.txt docs/licences/MIT.txt
SHG_INSTALL_IMAGES = YES

# Programs and their places in the root, as in src/lab/src/root.rs.
SHG_PROGRAMS = \
	init:/sbin/init \
	supervisor:/sbin/supervisor \
	storage:/sbin/storage \
	network:/sbin/network \
	lease:/sbin/lease \
	names:/sbin/names \
	multicast:/sbin/multicast \
	time:/sbin/time \
	identity:/sbin/identity \
	voice:/sbin/voice \
	agent:/sbin/agent \
	package:/sbin/package \
	ctl:/bin/ctl \
	reaper:/usr/lib/shg/reaper

# Programs of services. They go beside the images; board/ce4200/post-build.sh
# seals each and puts it into the root.
SHG_SERVICES = hello

SHG_BINS = \
	$(foreach program,$(SHG_PROGRAMS),$(firstword $(subst :, ,$(program)))) \
	$(SHG_SERVICES)

# What is built here is made with the profile of `make firmware`, so what
# Buildroot says of optimisation and debugging does not count.
SHG_OUTPUT = $(@D)/target/$(RUSTC_TARGET_NAME)/firmware
SHG_CARGO_ENV = \
	CARGO_TARGET_$(call UPPERCASE,$(RUSTC_TARGET_NAME))_RUSTFLAGS="-C target-cpu=bonnell" \
	CC_$(subst -,_,$(RUSTC_TARGET_NAME))="$(TARGET_CC)" \
	AR_$(subst -,_,$(RUSTC_TARGET_NAME))="$(TARGET_AR)" \
	CFLAGS_$(subst -,_,$(RUSTC_TARGET_NAME))="$(TARGET_CFLAGS)" # ring has parts in C

SHG_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude=/target --exclude=/output --exclude=/board --exclude=/buildroot

# A local site has no download step, in which Buildroot would vendor by itself.
define SHG_CHECK_VENDOR
	@if [ ! -f $(@D)/vendor/config.toml ]; then \
		echo "shg: the crates' sources are not there: run \`make vendor\` in $(SHG_SITE)" >&2; \
		exit 1; \
	fi
endef
SHG_POST_RSYNC_HOOKS += SHG_CHECK_VENDOR

define SHG_BUILD_CMDS
	cd $(@D) && \
	$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(PKG_CARGO_ENV) $(SHG_CARGO_ENV) \
		cargo build --offline --locked --config vendor/config.toml \
			--profile firmware $(addprefix -p ,$(SHG_BINS))
endef

define SHG_INSTALL_TARGET_CMDS
	$(foreach program,$(SHG_PROGRAMS), \
		$(INSTALL) -D -m 0755 $(SHG_OUTPUT)/$(firstword $(subst :, ,$(program))) \
			$(TARGET_DIR)$(lastword $(subst :, ,$(program)))$(sep))
endef

define SHG_INSTALL_IMAGES_CMDS
	$(foreach service,$(SHG_SERVICES), \
		$(INSTALL) -D -m 0755 $(SHG_OUTPUT)/$(service) $(BINARIES_DIR)/services/$(service)$(sep))
endef

# The board's options begin from nothing, where Buildroot begins from the
# kernel's defaults: what is not named there is off, as in `make kernel`. Each
# line must survive.
define SHG_LINUX_CONFIG_FIXUPS
	cat $(LINUX_KCONFIG_FILE) $(LINUX_KCONFIG_FRAGMENT_FILES) >$(LINUX_DIR)/.shg-options
	$(LINUX_KCONFIG_MAKE) KCONFIG_ALLCONFIG=$(LINUX_DIR)/.shg-options allnoconfig
	grep '^CONFIG_' $(LINUX_DIR)/.shg-options | while read -r line; do \
		grep -qxF -- "$$line" $(LINUX_DIR)/.config || { \
			echo "shg: the kernel does not take $$line" >&2; \
			exit 1; \
		}; \
	done
endef

$(eval $(cargo-package))
