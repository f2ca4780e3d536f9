include $(sort $(wildcard $(BR2_EXTERNAL_SHG_PATH)/package/*/*.mk))
