"""nerbert inside other programs: one file each."""
