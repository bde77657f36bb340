SELECT nvent.kv_increment(:hotkey, 1);
