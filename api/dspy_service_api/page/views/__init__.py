"""What templates need, made of the contract's answers. Pure: nothing here asks for anything."""
