"""What things cost: tariffs, metered events, cost sheets, break-even; every event is posted to the books later."""
