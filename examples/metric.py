import dspy


def metric(gold, pred, trace=None, pred_name=None, pred_trace=None):
    """1 for the right team; the feedback is what GEPA learns from."""
    right = gold.team == pred.team
    feedback = "Correct." if right else f"This belongs to '{gold.team}', not '{pred.team}'."
    return dspy.Prediction(score=float(right), feedback=feedback)
