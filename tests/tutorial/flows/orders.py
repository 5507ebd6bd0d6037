"""A flow with tasks, mapped tasks and a subflow."""

import time

import witness  # noqa: F401
from prefect import flow, get_run_logger, task


@task
def fetch(number):
    get_run_logger().info("fetching order %s", number)
    time.sleep(0.3)
    return number


@task(task_run_name="price-{number}")
def price(number):
    get_run_logger().debug("pricing %s", number)
    return number * 10


@flow(name="invoice", log_prints=True)
def invoice(total):
    print(f"invoice over {total}")
    return total


@flow(name="orders", flow_run_name="orders-of-today", log_prints=True)
def orders(count: int = 5):
    logger = get_run_logger()
    print("orders begin")
    first = fetch(0)
    prices = price.map(range(count)).result()
    logger.warning("prices: %s", prices)
    total = invoice(sum(prices) + first)
    logger.info("a line\nand another\n\ttabbed\n")
    print("naïve ✓ 日本語 \U0001f980")
    return total


if __name__ == "__main__":
    orders(20)
