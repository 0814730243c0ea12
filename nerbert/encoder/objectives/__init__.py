"""What an encoder is trained for, one file or folder an objective."""
