"""What is wrong with data: rules with a severity each, and what they found."""
