"""What is published; each module is a program that writes a part of it."""
