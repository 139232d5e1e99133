# docker build -t wristsleep .   then see "Docker" in README.md
FROM python:3.11-slim
WORKDIR /wristsleep
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
COPY . .
VOLUME /wristsleep/artifacts
ENTRYPOINT ["python"]
CMD ["train.py"]
