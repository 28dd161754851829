"""The commands of `ioc`, one file each."""
