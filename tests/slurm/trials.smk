"""Jobs that try what a cluster does to jobs: two at once on GPUs, one too big, one too slow.

Run through profiles/slurm, whose set-resources go by rule name: attribute_chunk gets a GPU here, too.
"""


rule all:
    input:
        expand("gpu_{number}.txt", number=[0, 1]),
        "memory.txt",
        "time.txt",


# Each waits for the other, so both hold a device at the same time.
rule attribute_chunk:
    output:
        "gpu_{number}.txt",
    threads: 1
    resources:
        mem_mb=600,
        runtime=5,
    shell:
        """
        touch begun_{wildcards.number}
        for _ in $(seq 600); do
            if [ -e begun_0 ] && [ -e begun_1 ]; then break; fi
            sleep 0.2
        done
        [ -e begun_0 ] && [ -e begun_1 ]
        echo "$CUDA_VISIBLE_DEVICES" > {output}
        """


# 700 MB and the two Snakemake processes of the job do not fit into the first request.
rule needs_memory:
    output:
        "memory.txt",
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 700 * attempt,
        runtime=5,
    shell:
        """
        python -c 'import time; held = b"x" * (700 << 20); time.sleep(8)'
        echo {resources.mem_mb} > {output}
        """


# Stands for work of more than one minute: with one minute it never ends, with two it does.
rule needs_time:
    output:
        "time.txt",
    threads: 1
    resources:
        mem_mb=600,
        runtime=lambda wildcards, attempt: attempt,
    shell:
        """
        if [ {resources.runtime} = 1 ]; then sleep 600; fi
        echo {resources.runtime} > {output}
        """
