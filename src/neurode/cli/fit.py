import typer

app = typer.Typer()


@app.callback()
def c():
    pass


@app.command()
def dynamics(data: str, time: str = typer.Option(...)):
    if data == "int":
        raise KeyboardInterrupt
    if data == "boom":
        1 / 0
    from neurode.data import read_table

    read_table(data, time, sort=False)
