# Sortable tables: each is a page of its own, made from records and statistics that are there.
TABLES = tables(STUDY)
# The long study of the retina is asked for by name; tables of the record cannot be on the record.
TABLE_PAGES = expand("results/tables/{table}.html", table=[one for one in TABLES if one != LONG])
RECORD_PAGES = expand(
    "results/tables/{table}.html",
    table=[name for name, one in TABLES.items() if one.records == [RECORD]],
)


# As the figures that stand beside them: a list is of labels or of paths.
table_labels = lambda wildcards: (
    {"figure": "table", "study": wildcards.table}
    if TABLES[wildcards.table].subcategory == "retina"
    else None
)


rule tabulate:
    input:
        records=lambda wildcards: TABLES[wildcards.table].records,
    output:
        table=in_report(
            "results/tables/{table}.html",
            category=lambda wildcards: TABLES[wildcards.table].chapter,
            subcategory=lambda wildcards: TABLES[wildcards.table].subcategory,
            labels=table_labels,
        ),
        caption="results/tables/{table}.rst",
    log:
        "results/logs/tabulate/{table}.log",
    benchmark:
        "results/benchmarks/tabulate/{table}.tsv"
    wildcard_constraints:
        table=any_of(TABLES),
    container:
        CONTAINER
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        options=options("tabulate"),
        code=code("tabulate"),
    message:
        "Write the table {wildcards.table}"
    shell:
        "python -m workflow_scripts.tabulate"
        " --records {input.records} --table {output.table} --caption {output.caption}"
        " --options {params.options:q} 2>&1 | tee {log}"
