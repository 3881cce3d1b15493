"""The law firm's assessment: checklist, findings, signed opinion bound to a version's root."""
