"""What foreign packages import, under its own names; on the path only for a package that asks."""
