"""Two clocks that saw the same pulses: which pulse is which, and how one clock maps to the other."""
