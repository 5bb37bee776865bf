"""What the optimizer finds in `/job/in`: its inputs fetched, checked and laid out."""
