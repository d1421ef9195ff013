"""The bound from one drafted path and one text a context, tighter than the bound by depth."""
