"""The operator: turns each ModelDeployment into running revisions behind one address."""
