"""What the house knows: the kernel (event, errors, settings, keys), the departments and the Faust app."""
