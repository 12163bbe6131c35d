from __future__ import annotations

from local.aws.history import states_entered
from tests.local.aws.conftest import Account, machine


def test_states_are_listed_in_the_order_in_which_they_were_entered(account: Account) -> None:
    mark = {"Type": "Pass", "Parameters": {"id.$": "$$.Execution.Id", "error": "Odd"}, "Next": "Pause"}
    pause = {"Type": "Wait", "Seconds": 5, "Next": "End"}
    fail = {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "$.id"}
    ending = account.run(machine({"Mark": mark, "Pause": pause, "End": fail}))
    assert (ending.error, ending.cause) == ("Odd", ending.arn)
    assert states_entered(account.aws, ending.arn) == ["Mark", "Pause", "End"]
