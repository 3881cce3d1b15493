"""What a provider decides by: forecasts, portfolio, risk, what a stop would cost; read from books and contracts."""
