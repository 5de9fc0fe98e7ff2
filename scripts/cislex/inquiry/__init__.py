"""What a user's files tell by themselves, so that a first config asks for nothing that can be found out."""
