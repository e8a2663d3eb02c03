"""What learns an initialisation, and what it is compared with."""
