"""From a request to its answer: find the row, ask the policy, bind the arguments, run."""
