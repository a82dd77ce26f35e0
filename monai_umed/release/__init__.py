"""Write a protected folder, whatever happens, and check one."""
