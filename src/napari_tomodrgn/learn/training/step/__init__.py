"""A step of training: what it draws and looks up, how it is recorded, what it adds up."""
