"""The audit: would protected files survive a determined exploiter?"""
