"""What a machine is: its site, its scheduler, its directories and programs."""
