"""Usage control: what the policy is told, what it answered, the quota, the entry of every use."""
